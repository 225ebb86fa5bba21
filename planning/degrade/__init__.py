"""CTs as they would have looked at lower doses, with a page that shows how well the noise is predicted."""
