"""Tell the story of one object and the next step: `arrivals why KEY`. Three modules ask, judge and tell."""
