"""The API's front door: says who is calling, never what they may."""
