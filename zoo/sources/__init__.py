"""Where weights come from: the package, the web, and the Hugging Face Hub."""
