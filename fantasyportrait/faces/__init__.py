"""Faces of photos and clips: detection, landmarks, masks, tracks. Called as a function, it lists a photo's faces."""
