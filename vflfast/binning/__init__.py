"""From a column to small classes: rules, edges, levels, weights of evidence, and the codes that the protocol computes on."""
