"""Which engine computes a pass: candidates, their workload and its estimated cost."""
