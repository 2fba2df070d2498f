"""Base classes of admin pages."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import ObjectDoesNotExist
from django.core.paginator import Paginator
from django.db.models import BooleanField, Field, FloatField, JSONField, Manager, Model, UUIDField
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from cataract.core.querysets import count_up_to

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin


MOST_LISTED = 2_000


class FirstRows(Paginator):  # type: ignore[type-arg]
    """Pages of the first MOST_LISTED rows: counting and skipping a million of them would take seconds."""

    @cached_property
    def count(self) -> int:
        return count_up_to(self.object_list, MOST_LISTED).number  # type: ignore[arg-type]


SHORT = 8  # characters of an id that people are shown; the whole one is on hover
MOST_RELATED = 20
_PLAIN = (BooleanField, JSONField, FloatField, UUIDField)


class Related(NamedTuple):
    """A row that belongs to the one shown, by the name of its kind, and where it opens."""

    kind: str
    name: str
    url: str


def plain(value: Any) -> str | SafeString:
    """A stored value as people read it: no JSON, no sixteen digits, no whole id."""
    if value is None or value == "" or value == [] or value == {}:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1 else f"{value:,.2f}".removesuffix(".00")
    if isinstance(value, dict):
        return "; ".join(f"{str(name).replace('_', ' ')}: {plain(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(str(plain(each)) for each in value)
    return str(value).replace("_", " ")


def short_id(pk: Any) -> SafeString:
    """The beginning of an id, the whole of it on hover."""
    return format_html('<span title="{}">{}</span>', pk, str(pk)[:SHORT])


def _shown(field: "Field[Any, Any]") -> Callable[[Any], str | SafeString]:
    """A column or a line of a page for a field whose raw value nobody wants to read."""

    def show(row: Any) -> str | SafeString:
        value = getattr(row, field.attname)
        return short_id(value) if isinstance(field, UUIDField) and value else plain(value)

    show.__name__ = field.name
    show.short_description = field.verbose_name  # type: ignore[attr-defined]
    show.admin_order_field = field.name  # type: ignore[attr-defined]
    return show


class Named(_ModelAdmin):
    """Pages titled by what they show, as nouns: "Users", not "Select user to change"."""

    list_title = ""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, with `list_title` or the plural of its kind as its heading."""
        title = self.list_title or capfirst(str(self.opts.verbose_name_plural))
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page of a row; its name stands below the heading."""
        title = capfirst(str(self.opts.verbose_name))
        return super().change_view(request, object_id, form_url, {"title": title, **(extra_context or {})})


class ModelAdmin(Named):
    """Rows that people add and change in the admin."""


class ReadOnlyAdmin(Named):
    """Rows to look at. Nothing is added, edited or deleted here: rows are written by services.

    `photo` is the path from a row to the id of its photo, and `related` are paths to the rows that belong to it: lists
    and pages show the one, and pages link the others. Ids, numbers and JSON are written as people read them.
    """

    photo = ""
    related: tuple[str, ...] = ()
    paginator = FirstRows
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, which says when it does not show every row."""
        response = super().changelist_view(request, extra_context)
        listing = getattr(response, "context_data", {}).get("cl")
        if listing is not None and listing.result_count >= MOST_LISTED:
            title = response.context_data["title"]  # type: ignore[attr-defined]
            response.context_data["title"] = f"{title}: the first {MOST_LISTED:,}. Search or filter to see others."  # type: ignore[attr-defined]
        return response

    def get_list_display(self, request: HttpRequest) -> Any:
        names = [self._plain(name) for name in super().get_list_display(request)]
        return ["thumbnail", *names] if self.photo and "thumbnail" not in names else names

    def get_list_display_links(self, request: HttpRequest, list_display: Any) -> Any:
        """The photo and the first column after it, or the columns that the class names."""
        first = [each for each in list_display if each != "thumbnail"][:1]
        names = {getattr(each, "__name__", each) for each in self.list_display_links or first}
        return [each for each in list_display if getattr(each, "__name__", each) in names or each == "thumbnail"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [self._plain(name) for name in super().get_fields(request, obj)]

    def _plain(self, name: Any) -> Any:
        """A field's name, or how its value is written if nobody wants to read it raw."""
        fields = {field.name: field for field in self.opts.fields}
        field = fields.get(name) if isinstance(name, str) and not hasattr(type(self), name) else None
        return _shown(field) if isinstance(field, _PLAIN) else name

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page of a row, with its photo and what belongs to it."""
        row = self.get_object(request, unquote(object_id))
        more: dict[str, Any] = {}
        if row is not None:
            more |= {"photo_id": self.photo_of(row), "related": list(self.related_of(request, row))}
        return super().change_view(request, object_id, form_url, {**more, **(extra_context or {})})

    @admin.display(description="photo")
    def thumbnail(self, row: Any) -> str | SafeString:
        """The photo of a row in a list."""
        photo = self.photo_of(row)
        if not photo:
            return "-"
        html = '<img class="thumbnail" src="{}" width="56" height="56" loading="lazy" alt="Open {}">'
        return format_html(html, reverse("predictions:photo", args=[photo, "thumb"]), self.opts.verbose_name)

    def photo_of(self, row: Any) -> Any:
        """The id of the photo that this row is about; None without one."""
        found: Any = row
        for name in filter(None, self.photo.split(".")):
            found = getattr(found, name, None)
        return found if self.photo else None

    def related_of(self, request: HttpRequest, row: Any) -> Iterator[Related]:
        """What belongs to this row, as far as this user may look at it."""
        for path in self.related:
            for found in _walk(row, path.split(".")):
                model_admin = self.admin_site._registry.get(type(found))
                if model_admin is None or not model_admin.has_view_permission(request, found):
                    continue
                meta = type(found)._meta
                name = str(found) if isinstance(found.pk, str) else str(found.pk)[:SHORT]
                url = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[found.pk])
                yield Related(capfirst(str(meta.verbose_name)), name, url)

    def page(self, request: HttpRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
        """A page of our own inside the admin's frame."""
        full = {**self.admin_site.each_context(request), "opts": self.model._meta, **context}
        return TemplateResponse(request, template, full, status=status)


def _walk(row: Any, path: list[str]) -> Iterator[Any]:
    """The rows at the end of a path of relations, whatever their direction; at most MOST_RELATED of each step."""
    if not path:
        yield row
        return
    try:
        found = getattr(row, path[0])
    except ObjectDoesNotExist:
        return
    if found is None:
        return
    for each in found.all()[:MOST_RELATED] if isinstance(found, Manager) else (found,):
        yield from _walk(each, path[1:])
