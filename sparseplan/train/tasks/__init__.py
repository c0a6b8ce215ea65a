"""What models are trained to do, one task per file: batches, the loss on one, and validation batches."""
