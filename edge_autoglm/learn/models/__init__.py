"""What an arm would earn: reward models, one a file."""
