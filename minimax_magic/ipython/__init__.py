"""The notebook's side: magics, how a cell waits, and how text gets into its output."""
