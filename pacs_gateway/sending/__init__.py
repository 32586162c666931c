"""How do stored studies get to other imaging systems? What routes owe them, sent until each object was answered."""
