"""``python -m reactkd_auto.training`` is ``reactkd_train``; ``torchrun`` runs it so on several GPUs."""

from reactkd_auto.training.command import main

if __name__ == "__main__":
    raise SystemExit(main())
