"""What the device at hand has and grants: processors, memory, accelerators, installed packages."""
