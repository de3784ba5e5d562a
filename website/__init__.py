"""The documentation as a site; see `website.build`."""
