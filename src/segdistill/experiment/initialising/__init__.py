"""Looking at a folder of images and masks, and writing the first recipes for it."""
