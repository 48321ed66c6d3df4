"""What the preview service refuses, beside the refusals in shared/errors.py.

Problem
|- FrameUnknown    404  the image has no such frame
|- UrlForged       404  a signed URL that is none of ours: in the words of an unknown instance
|- SigningOff      404  no signed URLs are given out here
|- NotAcceptable   406  neither JPEG nor PNG (nor, for WADO, DICOM) is accepted
|- AmbiguousUid    409  Orthanc has not exactly one image with the SOP Instance UID
|- NotRegistered   409  the image is in no exam, and nothing would end a URL of it
|- UrlExpired      410  a signed URL whose time is over
|  `- UrlOvertaken      or whose rights have changed
|- Gone            410  the image was deleted in the PACS
|- TooManyImages   413  more images than are given at once
|- TooManyPixels   413  they are not decoded
|- MetadataTooLong 413  of one image
|- NoPicture       415  there is no picture in it, or none that can be decoded
|- RangeUnsatisfiable  416  the part asked for begins behind the file's end
|- RightsOutdated  503  registration's answers are older than what it has told
`- RendersFull     503  too many pictures wait to be made
"""

from shared.errors import DependencyAway, InstanceUnknown, Problem


class FrameUnknown(Problem):
    status, code, title = 404, "frame-unknown", "Frame unknown"
    en = "The image has no frame {frame}; frames are counted from 1."
    fr = "L'image n'a pas de trame {frame} ; les trames se comptent à partir de 1."


class UrlForged(InstanceUnknown):
    by_anyone = True


class SigningOff(Problem):
    status, code, title = 404, "signing-off", "No signed addresses"
    en = "No signed addresses are given out here; show the picture with GET /dicom/instances/.../preview and a token."
    fr = "Aucune adresse signée n'est délivrée ici ; affichez l'image par GET /dicom/instances/.../preview et un jeton."


class NotRegistered(Problem):
    status, code, title = 409, "not-registered", "Not registered"
    en = "This image is in no exam yet, so it has no rights to sign; register it first, or show it by its preview."
    fr = "Cette image n'est encore dans aucun examen ; enregistrez-la d'abord, ou affichez-la par son aperçu."


class UrlExpired(Problem):
    status, code, title = 410, "url-expired", "Address expired"
    en = "This address has ended, by its time or by a change of rights; ask for a new one (POST .../preview-url)."
    fr = "Cette adresse a pris fin, à son heure ou par un changement de droits ; demandez-en une autre."
    by_anyone = True  # for ever after, by whoever finds it


class UrlOvertaken(UrlExpired):
    by_anyone = False  # it was one of ours until the rights changed


class NotAcceptable(Problem):
    status, code, title = 406, "not-acceptable", "Not acceptable"
    en = "None of the accepted media types can be given; accept one of {types}."
    fr = "Aucun des types de média acceptés ne peut être fourni ; acceptez l'un de {types}."


class Gone(Problem):
    status, code, title = 410, "deleted-in-pacs", "Deleted in the PACS"
    en = "This image was deleted in the image store (Orthanc); ask the PACS administrators if that is a surprise."
    fr = "Cette image a été supprimée du PACS (Orthanc) ; renseignez-vous auprès de ses administrateurs."


class AmbiguousUid(Problem):
    status, code, title = 409, "ambiguous-uid", "Not exactly one image"
    en = "Orthanc has several images with the SOP Instance UID {uid}, or none any more; the operators can tell which."
    fr = "Orthanc a plusieurs images d'UID {uid}, ou n'en a plus ; l'exploitation peut dire lesquelles."


class TooManyImages(Problem):
    status, code, title = 413, "too-many-images", "Too many images"
    en = "More than {most} images would be given; ask for one series at a time."
    fr = "Plus de {most} images seraient fournies ; demandez une série à la fois."


class TooManyPixels(Problem):
    status, code, title = 413, "too-many-pixels", "Too many pixels"
    en = "The pixels of this image take more than {most} bytes decoded; ask for it as stored (transfer-syntax=*)."
    fr = "Les pixels de cette image dépassent {most} octets décodés ; demandez-la telle quelle (transfer-syntax=*)."


class MetadataTooLong(Problem):
    status, code, title = 413, "metadata-too-long", "Metadata too long"
    en = "What stands in this image takes more than {most} bytes; ask for the file itself."
    fr = "Ce que contient cette image dépasse {most} octets ; demandez le fichier lui-même."


class NoPicture(Problem):
    status, code, title = 415, "no-picture", "No picture"
    en = "This object holds no picture that can be shown (a report, a curve, a plan, or an unknown encoding)."
    fr = "Cet objet ne contient pas d'image affichable (compte rendu, tracé, plan, ou encodage inconnu)."


class RangeUnsatisfiable(Problem):
    status, code, title = 416, "range-unsatisfiable", "Range not satisfiable"
    en = "The file has {size} bytes, and none in the range that was asked for; ask for another, or for the whole."
    fr = "Le fichier a {size} octets, et aucun dans l'intervalle demandé ; demandez-en un autre, ou le tout."

    def headers(self) -> dict[str, str]:
        """How much there is (RFC 9110, 14.4)."""
        return {"Content-Range": f"bytes */{self.facts['size']}"}


class RightsOutdated(DependencyAway):
    code = "rights-outdated"
    retry_after = 1
    en = "The rights on this exam are changing at this moment and cannot be checked; repeat the request in a second."
    fr = "Les droits sur cet examen changent en ce moment et sont invérifiables ; répétez dans une seconde."


class RendersFull(DependencyAway):
    code = "renders-full"
    retry_after = 2
    en = "Too many pictures are waiting to be made at this moment; repeat the request in two seconds."
    fr = "Trop d'images attendent d'être calculées en ce moment ; répétez dans deux secondes."
