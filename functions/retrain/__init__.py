"""The retrain function: learns every night from what happened, and publishes what is no worse."""
