"""What an app keeps on the device for its prompts: solved examples, documents, conversations, facts."""
