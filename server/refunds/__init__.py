"""Returns of goods and money: what they take back and give back, and those that wait for their sale."""
