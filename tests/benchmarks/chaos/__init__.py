"""Jobs on several replicas while processes are killed and suspended, and replicas are cut off."""
