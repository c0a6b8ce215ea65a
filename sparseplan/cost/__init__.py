"""What a plan costs: training FLOPs, or a device."""
