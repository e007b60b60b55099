"""Our own networks: a head of ours on a backbone of timm."""
