"""What does an object look like? Pictures of image objects as PNG, tracings of ECG objects as SVG."""
