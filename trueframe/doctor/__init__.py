"""What `trueframe doctor` looks at: the machine, the programs, secrets, documents, and the instance if it runs."""
