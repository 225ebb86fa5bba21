"""Self-configuring PET/CT to CT-only tumour classification (REACT-KD, arXiv 2508.02104)."""
