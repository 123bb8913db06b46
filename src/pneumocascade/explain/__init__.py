"""What people look at, made of a prediction: saliency maps, pictures, plots, image quality."""
