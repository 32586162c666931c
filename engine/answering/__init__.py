"""What is answered to those who ask or order? Responses built of what is recorded."""
