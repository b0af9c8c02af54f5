-- Where a session stands is asked at each call, and found here without its content.
CREATE INDEX sessions_at_a_glance ON sessions (key, version, idle_expires) WHERE sealed IS NOT NULL;
