"""manage.py delete_patient: move a patient with all photos to the trash, or purge them at once."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from cataract.core.errors import DomainError
from predictions.retention import services, worker
from predictions.retention.models import Deletion
from predictions.sites.models import Patient


class Command(BaseCommand):
    help = "Move a patient with all photos to the trash; --purge deletes them for good at once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("patient", help="The patient's pseudonym.")
        parser.add_argument("--site", required=True, help="The name of the patient's site.")
        parser.add_argument("--reason", required=True, help="Kept on record.")
        parser.add_argument("--purge", action="store_true", help="Purge at once: nothing can be restored.")

    def handle(self, *args: Any, **options: Any) -> None:
        patient = Patient.objects.filter(site__name=options["site"], key=options["patient"]).first()
        if patient is None:
            raise CommandError(f"There is no patient {options['patient']} at {options['site']}.")
        try:
            deletion = services.delete_patient(patient=patient, reason=options["reason"], user=None)
        except DomainError as error:
            raise CommandError(error.message) from None
        count = deletion.images.count()
        if deletion.status == Deletion.Status.REQUESTED:
            self.stdout.write(f"{count} photos wait for a person who confirms their deletion.")
            return
        self.stdout.write(f"{count} photos are in the trash until {deletion.purge_after:%Y-%m-%d}.")
        if options["purge"]:
            services.purge_now(deletion=deletion, user=None)
            if worker.purge(deletion.pk):
                self.stdout.write(
                    f"{count} photos are purged. `manage.py purge` deletes what trainings cached of them."
                )
