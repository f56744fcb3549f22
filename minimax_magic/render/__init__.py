"""From events to what is shown: pure, no IPython and no clock in here."""
