"""Sessions: passwords, signed-in devices, mailed links and the throttles around them."""
