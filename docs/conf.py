"""How Sphinx builds the site: the Markdown pages, the notebook, and the API reference from the docstrings."""

import sys
from pathlib import Path

import retmech

sys.path.insert(0, str(Path(__file__).with_name("_ext")))

project = "retmech"
release = version = retmech.__version__
html_title = f"retmech {version}"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx-mathjax-offline", "api_pages", "api_types"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["wide.css"]

# Pages are read on a forge, too, so they keep to what is understood there: $...$, blocks named math, headings as anchors.
myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # the notebook stands in the repository with its outputs; a test runs it
nb_merge_streams = True

nitpicky = True
# Names of other packages, of which no index can be had offline.
nitpick_ignore_regex = [(r"py:.*", r"(?!retmech)\w+\..*"), (r"py:class", r"(?!retmech).*")]

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "exclude-members": "set"}  # matplotlib writes one into each of its artists
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_preprocess_types = False

linkcheck_anchors = False
linkcheck_retries = 2
linkcheck_timeout = 20
