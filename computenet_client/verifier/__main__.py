"""`python -m computenet_client.verifier EXPORT`, or by its path, where nothing else is installed."""

import sys
from importlib import import_module
from pathlib import Path

package = __package__
if not package:
    folder = Path(__file__).resolve().parent
    sys.path.insert(0, str(folder.parent))
    package = folder.name
sys.exit(import_module(f"{package}.command").main())
