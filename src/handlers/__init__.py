"""One module a trigger: parse, plan, start."""
