"""What the upload service refuses, beside the refusals in shared/errors.py.

Problem
|- NotMultipart          415  the body is not multipart/form-data
|- EncodingRefused       415  a compressed body
|- FormBroken            400  the multipart body has no boundary, is cut off, or cannot be read
|- FieldUnexpected       400  a part that this request does not have, or has twice
|- FileMissing           400  there is no part named `file`
|- FileEmpty             400
|- FileTooLarge          413
|- NotDicom              400  no DICM at byte 128
|- PreambleActive        400  what stands before DICM makes a program, an archive or a page of the file
|- SyntaxRefused         415  a transfer syntax that is not taken
|- DirectoryRefused      400  a DICOMDIR, which is no image
|- DicomBroken           400  the file cannot be read as DICOM
|  `- CutOff             400  ... before its last element does
|- HeaderTooLarge        400  more bytes before the pixel data than are taken
|- InflatesTooFar        413  a deflated data set that comes to more than is taken
|- TagsMissing           400  mandatory tags, each named
|- AlreadyOther          409  another image has this SOP Instance UID
|- SentTooSlowly         408  the body did not come in time
|- UploadsFull           503  as many uploads are in flight as are taken, or as many bytes
`- StoredUnlinked        503  stored, but the event could not be confirmed
"""

from collections.abc import Sequence

from shared.errors import FieldError, Problem


class NotMultipart(Problem):
    status, code, title = 415, "not-multipart", "Unsupported media type"
    en = "The body must be multipart/form-data with the DICOM file in the part 'file'."
    fr = "Le corps doit être en multipart/form-data, avec le fichier DICOM dans la partie « file »."


class EncodingRefused(Problem):
    status, code, title = 415, "content-encoding-refused", "Compressed body"
    en = "The body must not be compressed: send it without a Content-Encoding."
    fr = "Le corps ne doit pas être compressé : envoyez-le sans Content-Encoding."


class FormBroken(Problem):
    status, code, title = 400, "form-broken", "Broken form"
    en = "The multipart body cannot be read ({what_en}); build it with your HTTP library and send it again."
    fr = "Le corps multipart est illisible ({what_fr}) ; construisez-le avec votre bibliothèque HTTP et renvoyez-le."


class FieldUnexpected(Problem):
    status, code, title = 400, "field-unexpected", "Unexpected field"
    en = "The form has an unexpected part: {what_en}. It takes one 'file', and 'examenID' and 'description' as text."
    fr = "Le formulaire a une partie inattendue : {what_fr}. Il accepte un « file », et « examenID », « description »."


class FileMissing(Problem):
    status, code, title = 400, "file-missing", "File missing"
    en = "The form has no file; put the DICOM file into a part named 'file'."
    fr = "Le formulaire ne contient pas de fichier ; placez le fichier DICOM dans une partie nommée « file »."

    def __init__(self) -> None:
        super().__init__([FieldError("file", "is missing", "manque")])


class FileEmpty(Problem):
    status, code, title = 400, "file-empty", "File empty"
    en = "The file has no bytes; check the export and send it again."
    fr = "Le fichier est vide ; vérifiez l'export et renvoyez-le."


class FileTooLarge(Problem):
    status, code, title = 413, "file-too-large", "File too large"
    en = (
        "The file is larger than the {limit} bytes taken here; split the image or ask the operators for a higher limit."
    )
    fr = "Le fichier dépasse les {limit} octets acceptés ; divisez l'image ou demandez une limite plus haute."


class NotDicom(Problem):
    status, code, title = 400, "not-dicom", "Not a DICOM file"
    en = "The file is not DICOM (no 'DICM' at byte 128, DICOM PS3.10); send the file as the modality exported it."
    fr = "Le fichier n'est pas du DICOM (pas de « DICM » à l'octet 128) ; envoyez le fichier exporté par la modalité."


class DicomBroken(Problem):
    status, code, title = 400, "dicom-broken", "Broken DICOM file"
    en = "The DICOM file is broken: {what_en}; export it again from its source."
    fr = "Le fichier DICOM est abîmé : {what_fr} ; exportez-le de nouveau depuis sa source."


class PreambleActive(Problem):
    status, code, title = 400, "preamble-active", "Preamble of another format"
    en = "The file begins like another format ({what}) before its 'DICM'; send the file as the modality exported it."
    fr = "Le fichier commence comme un autre format ({what}) avant son « DICM » ; envoyez l'original de la modalité."


class SyntaxRefused(Problem):
    status, code, title = 415, "transfer-syntax-refused", "Transfer syntax not taken"
    en = "The transfer syntax {uid} is not taken here; GET /dicom/upload/limits lists those that are, convert the file."
    fr = "La syntaxe de transfert {uid} n'est pas acceptée ; voyez GET /dicom/upload/limits et convertissez le fichier."


class DirectoryRefused(Problem):
    status, code, title = 400, "dicomdir-refused", "A DICOMDIR is no image"
    en = "The file is a DICOMDIR, the table of contents of a disc; send the image files that it lists."
    fr = "Le fichier est un DICOMDIR, la table des matières d'un disque ; envoyez les fichiers d'images qu'il liste."


class InflatesTooFar(Problem):
    status, code, title = 413, "inflates-too-far", "Deflated data set too large"
    en = "The deflated data set comes to more than the {limit} bytes taken here; send the file without deflating it."
    fr = "Le jeu de données compressé dépasse les {limit} octets acceptés ; envoyez le fichier sans compression."


class CutOff(DicomBroken):
    def __init__(self) -> None:
        super().__init__(what_en="it ends too early", what_fr="il s'arrête trop tôt")


class HeaderTooLarge(Problem):
    status, code, title = 400, "header-too-large", "DICOM header too large"
    en = "The DICOM header is larger than the {limit} bytes taken here; remove large elements before the pixels."
    fr = "L'en-tête DICOM dépasse les {limit} octets acceptés ; retirez les grands éléments privés avant les pixels."


class TagsMissing(Problem):
    status, code, title = 400, "tags-missing", "Mandatory tags missing"
    en = "The DICOM file lacks a usable value for {tags}; export it again with them."
    fr = "Le fichier DICOM n'a pas de valeur utilisable pour {tags} ; exportez-le de nouveau avec ces attributs."

    def __init__(self, tags: Sequence[str]) -> None:
        errors = [FieldError(tag, "is missing or not usable", "manque ou n'est pas utilisable") for tag in tags]
        super().__init__(errors, tags=", ".join(tags))


class AlreadyOther(Problem):
    status, code, title = 409, "already-other", "Another image has this UID"
    en = "Another image with this SOP Instance UID is stored already, and was kept; they differ in {tags}."
    fr = "Une autre image ayant ce SOP Instance UID est déjà stockée, et conservée ; elles diffèrent par {tags}."


class StoredUnlinked(Problem):
    status, code, title = 503, "stored-unlinked", "Stored, not yet linked"
    retry_after = 5
    en = "The image is stored, but its event could not be sent; send it again to link it to its exam."
    fr = "L'image est stockée, mais son événement n'a pu être envoyé ; renvoyez-la pour la lier à son examen."


class SentTooSlowly(Problem):
    status, code, title = 408, "sent-too-slowly", "Upload too slow"
    en = "The upload did not arrive in time ({what_en}); nothing was stored, send it again over a better connection."
    fr = "Le fichier n'est pas arrivé à temps ({what_fr}) ; rien n'a été stocké, renvoyez-le par un meilleur réseau."


class UploadsFull(Problem):
    status, code, title = 503, "uploads-full", "Too many uploads at once"
    retry_after = 5
    en = "As many uploads are under way as are taken at once; nothing was stored, send it again in a few seconds."
    fr = "Trop d'envois sont en cours à la fois ; rien n'a été stocké, renvoyez le fichier dans quelques secondes."
