"""From other people's layouts, or from nothing, to a raw dataset; and the check of a raw dataset."""
