"""The learned normality of one camera: what its own footage does not show is abnormal."""
