"""What became of one object, and what to do next: `arrivals why KEY`. Asked, judged, told."""
