"""From a token store to a prediction store: plan, blocks, layout, reader. Imports nothing by itself."""
