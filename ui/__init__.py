"""The app in the browser: the only room that imports gradio. `layout` places, `components` wire, `app` starts."""
