"""Refusals that every service can make, each with its HTTP status and its one sentence in English and French.

Problem                        a refusal with a status, a code and a sentence (RFC 9457)
|- Unauthenticated        401  no token, or one that does not verify
|- ScopeMissing           403  the token lacks a scope
|- InvalidInput           400  fields that do not fit, each named
|- ExamUnknown            404  no such exam, or not the caller's
|- ImageUnknown           404  no such image record, or not the caller's
|- InstanceUnknown        404  no such Orthanc instance, or not the caller's
|- DependencyAway         503  something this service needs does not answer
|  |- OrthancAway
|  |  `- OrthancSlow             it took the request, and did not answer in time
|  |- BrokerAway
|  |- DatabaseAway
|  |- RegistrationAway
|  |- KeysAway                 no key to verify tokens with could be had
|  `- AuditAway                nothing may happen here that leaves no trace
|- OrthancNonsense        502  Orthanc answered what its contract does not allow
|  `- StoreFailed          502  ... to a store, by an error of its own, which may be over the next time
|- StoreRefused           400  Orthanc cannot read the file
`- StorageFull            507  Orthanc has no room left

A service's own refusals stand in its `errors.py` and derive from these.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from shared.texts import visible

Language = Literal["en", "fr"]


@dataclass(frozen=True)
class FieldError:
    """One field of a request that does not fit: its name, what is wrong, and the value where it may be shown.

    `value` is given only for UIDs, numbers, dates, enumerations and URLs: anything else may be about a patient.
    """

    field: str
    en: str
    fr: str
    value: str | None = None

    def said(self, language: Language) -> dict[str, str]:
        """The entry of `errors` in a problem document."""
        said = {"field": self.field, "problem": self.fr if language == "fr" else self.en}
        return said if self.value is None else {**said, "value": visible(self.value[:80])}


class Problem(Exception):
    """A refusal. Subclasses give the status, the code (`/problems/<code>`), the title and the sentence.

    The sentences are format strings over the keyword arguments; they never hold patient data.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"
    en: ClassVar[str] = "Something failed here that should not have; give the correlation id to the operators."
    fr: ClassVar[str] = "Une erreur interne s'est produite ; transmettez l'identifiant de corrélation à l'exploitation."
    retry_after: ClassVar[int | None] = None
    by_anyone: ClassVar[bool] = False  # can be caused without being known: its audit record may be lost

    def __init__(self, errors: Sequence[FieldError] = (), **facts: object) -> None:
        self.errors = tuple(errors)
        self.facts = facts
        self.hides: tuple[str | None, str | None] | None = None
        super().__init__(self.sentence("en"))

    def hiding(self, exam_id: str | None, subject: str | None) -> Self:
        """The same refusal of what is there and not the caller's: only the audit trail is told what that is."""
        self.hides = (exam_id, subject)
        return self

    def sentence(self, language: Language) -> str:
        """What was wrong and what to do, for a person."""
        return (self.fr if language == "fr" else self.en).format(**self.facts)

    def headers(self) -> dict[str, str]:
        """What a program is told of it by HTTP."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


class Unauthenticated(Problem):
    status, code, title = 401, "unauthenticated", "Not authenticated"
    en = "{why_en} Send a valid token as 'Authorization: Bearer ...'."
    fr = "{why_fr} Envoyez un jeton valide : « Authorization: Bearer ... »."

    def headers(self) -> dict[str, str]:
        """The challenge (RFC 6750, 3)."""
        return {"WWW-Authenticate": str(self.facts.get("challenge", "Bearer"))}


class ScopeMissing(Problem):
    status, code, title = 403, "scope-missing", "Scope missing"
    en = "The token lacks the scope '{scope}', which this request needs; ask for a token that carries it."
    fr = "Le jeton n'a pas le droit « {scope} » que cette requête exige ; demandez un jeton qui le porte."

    def headers(self) -> dict[str, str]:
        """The challenge (RFC 6750, 3.1): which scope a client is to ask for."""
        return {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{self.facts["ask_for"]}"'}


class InvalidInput(Problem):
    status, code, title = 400, "invalid-input", "Invalid input"
    en = "The request does not fit: {summary_en}."
    fr = "La requête n'est pas valide : {summary_fr}."

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__(
            errors,
            summary_en="; ".join(f"{e.field}: {e.en}" for e in errors),
            summary_fr=" ; ".join(f"{e.field} : {e.fr}" for e in errors),
        )


class ExamUnknown(Problem):
    status, code, title = 404, "exam-unknown", "Exam unknown"
    en = "There is no such exam for you; check the examenID, or have the exam opened first."
    fr = "Cet examen n'existe pas pour vous ; vérifiez l'examenID, ou faites d'abord ouvrir l'examen."


class ImageUnknown(Problem):
    status, code, title = 404, "image-unknown", "Image unknown"
    en = "There is no such image for you; check the imageID."
    fr = "Cette image n'existe pas pour vous ; vérifiez l'imageID."


class InstanceUnknown(Problem):
    status, code, title = 404, "instance-unknown", "Instance unknown"
    en = "There is no such stored image for you; check the identifier, or upload the image first."
    fr = "Cette image stockée n'existe pas pour vous ; vérifiez l'identifiant, ou téléversez d'abord l'image."


class DependencyAway(Problem):
    status, code, title = 503, "dependency-away", "Temporarily unavailable"
    retry_after = 5


class OrthancAway(DependencyAway):
    code = "orthanc-away"
    en = "The image store (Orthanc) does not answer; nothing was changed, repeat the request in a few seconds."
    fr = "Le PACS (Orthanc) ne répond pas ; rien n'a été modifié, répétez la requête dans quelques secondes."


class OrthancSlow(OrthancAway):
    code = "orthanc-slow"
    en = "The image store (Orthanc) did not answer in time; repeat the request, which is harmless if it was done."
    fr = "Le PACS (Orthanc) n'a pas répondu à temps ; répétez la requête, sans risque si elle a abouti."


class OrthancBusy(OrthancAway):
    code = "orthanc-busy"
    en = "Too many files are being read from the image store at the moment; repeat the request in a few seconds."
    fr = "Trop de fichiers sont lus dans le PACS en ce moment ; répétez la requête dans quelques secondes."


class BrokerAway(DependencyAway):
    code = "broker-away"
    en = "The message broker does not confirm; repeat the request in a few seconds."
    fr = "Le courtier de messages ne confirme pas ; répétez la requête dans quelques secondes."


class DatabaseAway(DependencyAway):
    code = "database-away"
    en = "The database does not answer; nothing was changed, repeat the request in a few seconds."
    fr = "La base de données ne répond pas ; rien n'a été modifié, répétez la requête dans quelques secondes."


class RegistrationAway(DependencyAway):
    code = "registration-away"
    en = "The registration service does not answer, so your rights cannot be checked; repeat in a few seconds."
    fr = "Le service d'enregistrement ne répond pas, vos droits ne peuvent être vérifiés ; répétez plus tard."


class KeysAway(DependencyAway):
    code = "keys-away"
    en = "The keys that verify tokens cannot be had, so nobody is let in; repeat the request in a few seconds."
    fr = "Les clés de vérification des jetons sont indisponibles, personne n'est admis ; répétez plus tard."


class AuditAway(DependencyAway):
    code = "audit-away"
    en = "Accesses cannot be recorded at the moment, so nothing is answered; repeat the request in a few seconds."
    fr = "Les accès ne peuvent être tracés pour le moment, rien n'est donc répondu ; répétez dans quelques secondes."


class OrthancNonsense(Problem):
    status, code, title = 502, "orthanc-nonsense", "Unexpected answer from the image store"
    en = "The image store (Orthanc) gave an answer that cannot be used ({what}); tell the operators."
    fr = "Le PACS (Orthanc) a donné une réponse inutilisable ({what}) ; prévenez l'exploitation."


class StoreFailed(OrthancNonsense):
    pass


class StorageFull(Problem):
    status, code, title = 507, "storage-full", "Storage full"
    en = "The image store has no room left; nothing was stored, tell the operators and send the image again later."
    fr = "Le PACS n'a plus de place ; rien n'a été stocké, prévenez l'exploitation et renvoyez l'image plus tard."


class StoreRefused(Problem):
    status, code, title = 400, "store-refused", "Refused by the image store"
    en = "The image store (Orthanc) cannot read this DICOM file; it is broken or incomplete, export it again."
    fr = "Le PACS (Orthanc) ne peut pas lire ce fichier DICOM ; il est abîmé ou incomplet, exportez-le de nouveau."
