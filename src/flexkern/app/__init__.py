"""The application: data, training, reports, measurements and the command line; needs extras."""
