"""What is settled before a run begins: the plan, what it takes, and whether this machine has it."""
