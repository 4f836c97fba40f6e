"""K-means and the features that it clusters, labels of frames and their quality."""
