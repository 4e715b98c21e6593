"""From the collision to the calorimeters: material, tracks, electron tracks, muons."""
