"""balto inside MetaSchedule's own search (paper 4.2, 4.3)."""
