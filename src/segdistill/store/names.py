"""Names and formats of the files of a run folder. Standard library only, so that reports need no torch.

=======================  ==============================================================================
``recipe.yaml``          the resolved recipe, written before anything else
``environment.json``     versions, device, commit, command line
``metrics.jsonl``        ``{"step", "loss", "lr", "parts": {...}}`` every ``log_every`` steps and
                         ``{"step", "val": {...}}`` every validation. Nothing in it depends on the clock:
                         a resumed run ends with the same bytes as an uninterrupted one.
``timing.jsonl``         ``{"step", "seconds", "images_per_s", ...}`` at the same steps
``checkpoints/last``     one file with all that is needed to continue; ``checkpoints/best`` likewise
``student.safetensors``  the best network alone, with its architecture and label table in the header
``result.json``          scores, protocol, cost; its presence says that the run is complete
``confusion.json``       ``{"matrix": [[...]]}``, pixels by true class (row) and predicted class (column)
``images.json``          ``{"images": [{"name", "miou"}]}``, every evaluated image
``analysis.safetensors`` features of a sample of cells: ``student.<name>``, ``teacher.<name>``, ``class``, ``image``
``gallery/``             ``image_000.png``, ``truth_000.png``, ``prediction_000.png``, ..., and ``gallery.json``
``failed.json``          ``{"error"}`` of a run of a comparison that could not be finished
``events.log``           warnings and messages
=======================  ==============================================================================
"""

RECIPE = "recipe.yaml"
ENVIRONMENT = "environment.json"
METRICS = "metrics.jsonl"
TIMING = "timing.jsonl"
LAST = "checkpoints/last/state.safetensors"
BEST = "checkpoints/best/state.safetensors"
STUDENT = "student.safetensors"
RESULT = "result.json"
CONFUSION = "confusion.json"
IMAGES = "images.json"
ANALYSIS = "analysis.safetensors"
GALLERY = "gallery"
GALLERY_INDEX = "gallery/gallery.json"
FAILED = "failed.json"
EVENTS = "events.log"
COMPARISON = "comparison.json"  # of a folder of runs
