"""Static reading of policies: what the code that made a submission reads and computes.

A policy is hostile text. It is parsed and looked at in a child process with limits, and never imported or run here.
What is found is evidence, not proof: Python can hide anything, and ``PolicyCode.dynamic`` says where it might.

``reading`` starts the child and gives a ``PolicyCode``; ``compare`` measures how far two of them are apart;
``carried`` finds data that a policy brings along. The other modules are the child's (parse,
graph of the data flow, origins of values, bag of operations) and use the standard library only: it starts in moments.
"""
