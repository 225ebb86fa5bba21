"""``python -m reactkd_auto.training`` is ``reactkd_train``; ``torchrun`` runs it so on several GPUs."""

from reactkd_auto.training.command import main

raise SystemExit(main())
