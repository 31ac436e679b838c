"""The demo shop: invented people, and a year of sales made from real receipts."""
