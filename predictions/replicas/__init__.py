"""Ray Serve: replicas that hold cascades and answer photos for web processes. Off unless INFERENCE is `ray`."""
